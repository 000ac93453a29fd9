"""Commands of the command line and the options they share."""
