"""The sources of images, one module each; the class says how a request names an image."""
