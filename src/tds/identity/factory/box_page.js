const root = document.documentElement;
const buttons = document.querySelectorAll("[data-language]");
function speak(language) {
  root.lang = language;
  for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.language === language));
}
const spoken = { pt: "pt-BR", en: "en" };
const first = navigator.languages.map((word) => spoken[word.slice(0, 2).toLowerCase()]).find(Boolean);
if (buttons.length) speak(first ?? "pt-BR");
for (const button of buttons) button.addEventListener("click", () => speak(button.dataset.language));

const found = document.getElementById("found");
const units = document.querySelectorAll(".unit");
document.getElementById("find").addEventListener("input", (event) => {
  const wanted = event.target.value.trim().toLowerCase();
  let shown = 0;
  for (const unit of units) {
    unit.hidden = !unit.dataset.words.includes(wanted);
    shown += unit.hidden ? 0 : 1;
  }
  found.textContent = wanted ? `${shown} / ${units.length}` : "";
});
