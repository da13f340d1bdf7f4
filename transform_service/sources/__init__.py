"""The sources of images, one module each. The class defines how a request names an image."""
