"""What the browser gets: the dashboard and the login form."""
