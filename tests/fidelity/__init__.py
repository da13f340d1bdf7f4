"""Right values that do not come from libvips: computed by hand, or by Pillow with littleCMS."""
