"""The transform service. It turns images into variants: other sizes, formats and treatments."""
