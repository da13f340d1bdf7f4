"""What an operator is told about the first key, once."""

from storage_service.keyring import NewKey


class FirstKey:
    """The first key of all, until an operator has seen it."""

    def __init__(self, new: NewKey) -> None:
        self._new = new
        self._is_shown = False

    def text(self, url: str) -> str:
        """The key, and how to use it at `url`, for the caller to show."""
        self._is_shown = True
        return _text(self._new, url)

    def show(self, url: str) -> None:
        """Print it to the operator, and not to the log, unless it was shown."""
        if not self._is_shown:
            print(self.text(url), flush=True)


def _text(new: NewKey, url: str) -> str:
    return f"""\
Keys are required. This is the first one, with the scope `admin`. It is not shown again:

  {new.key}

  curl -fH 'Authorization: Bearer {new.key}' -F image=@photo.jpg {url}/v1/images
  curl -fH 'Authorization: Bearer {new.key}' {url}/v1/images

Make others with fewer scopes: imgsvc keys create --help"""
