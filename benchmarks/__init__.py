"""`make bench`: the time and memory for a photo, compared with the tutorials' functions and with the least possible."""
