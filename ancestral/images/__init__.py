"""Pictures: what is drawn, pixels while they are sampled, and image files."""
