"""Where the facts about images are kept. One module a kind of database, chosen by the URL's scheme."""
