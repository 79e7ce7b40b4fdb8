// The page of the benchmark is drawn already; this is its switch only.
document.addEventListener("DOMContentLoaded", () =>
  useTheme(document.getElementById("theme"), () => {}));
