// The browser must not take the keys that are ours: F-keys, and Ctrl with H, O, P, S, F, D, J, U, K.
window.addEventListener(
  "keydown",
  (event) => {
    const key = event.key.toLowerCase();
    if (/^f([1-9]|1[0-2])$/.test(key) || (event.ctrlKey && "hopsfdjuk".includes(key))) {
      event.preventDefault();
    }
  },
  { capture: true },
);
