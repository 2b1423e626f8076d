"""The command line: typer and rich live here only. One verb, one file."""
