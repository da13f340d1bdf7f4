"""Image files of other projects' test suites: each is sorted into agrees, refused or different, and stays there."""
