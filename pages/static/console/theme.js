// Before anything is shown, so that no page flashes in the other colours.
try {
  const theme = localStorage.getItem("theme");
  if (theme) document.documentElement.dataset.theme = theme;
} catch {
  // The browser keeps nothing for this page: the system's colours, then.
}
