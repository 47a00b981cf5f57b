"""What can be measured of a user's own: the interface of models, and its kinds, one file each."""
