// The page's texts in the reader's language. English stands in the code and in the HTML; the run's data
// holds a table of translations for each other language (render.py).
"use strict";

let texts = new Map();

// `text` in the chosen language, with fields.name in place of {name}. The call must not stand within a template
// literal, because Babel doesn't find it there.
function t(text, fields = {}) {
  const template = texts.get(text) ?? text;
  return template.replace(/\{(\w+)\}/g, (whole, name) => (Object.hasOwn(fields, name) ? fields[name] : whole));
}

const TRANSLATED_ATTRIBUTES = ["title", "placeholder", "aria-label"];

// The elements of the HTML that are translated, with their English texts.
const translated = Array.from(document.querySelectorAll("[data-t]"), (element) => ({
  element,
  text: element.childElementCount || element.dataset.t === "attributes" ? "" : element.textContent,
  attributes: TRANSLATED_ATTRIBUTES.filter((name) => element.hasAttribute(name)).map((name) => [name, element.getAttribute(name)]),
}));

function translateHtml() {
  for (const { element, text, attributes } of translated) {
    if (text) element.textContent = t(text);
    for (const [name, value] of attributes) element.setAttribute(name, t(value));
  }
}

// The language that `lab trace --lang` chose, or else the first of the browser's that the page has.
function preferredLanguage() {
  const primary = (name) => name.split("-")[0].toLowerCase();
  const wanted = run.language ? [run.language] : navigator.languages;
  const known = wanted.map((name) => Object.keys(run.languages).find((language) => primary(language) === primary(name)));
  return known.find(Boolean) ?? "en";
}

function setLanguage(language) {
  texts = new Map(Object.entries(run.texts[language] ?? {}));
  document.documentElement.lang = language;
  translateHtml();
}
