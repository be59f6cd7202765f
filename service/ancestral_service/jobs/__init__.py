"""A job from submission to artifact, whatever it makes."""
