"""Everything wrong with an option file, found before anything is built."""
