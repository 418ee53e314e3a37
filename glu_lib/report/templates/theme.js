// Switches between the light and the dark theme, and remembers the choice.
(() => {
  "use strict";
  const root = document.documentElement;
  const button = document.getElementById("theme");
  const dark = window.matchMedia("(prefers-color-scheme: dark)");

  // The figures take their colours from the style sheet, so a change of theme does not redraw them.
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : dark.matches);
  const remember = (value) => { try { localStorage.setItem("glu-theme", value); } catch { /* storage is blocked: the theme is not remembered */ } };
  const recall = () => { try { return localStorage.getItem("glu-theme"); } catch { return null; } };
  const label = () => {
    button.textContent = isDark() ? "Light theme" : "Dark theme";
    button.setAttribute("aria-pressed", String(isDark()));
  };
  if (["light", "dark"].includes(recall())) root.dataset.theme = recall();
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    remember(root.dataset.theme);
    label();
  });
  dark.addEventListener("change", label);
  button.hidden = false;
  label();
})();
