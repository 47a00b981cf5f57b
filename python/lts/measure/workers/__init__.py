"""Workers of an engine that evaluate for a study: the interface, and its kinds, one file each."""
