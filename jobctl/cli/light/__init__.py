"""The light path: the commands that scripts call most, parsed with the standard library alone.

The full application (typer, click, rich) takes longer to import than these commands take to run.
"""
