// The page's texts in the reader's language. The English texts are in the code and in the HTML; the run's data
// contains a table of translations for each other language (render.py).
"use strict";

let texts = new Map();

// `text` in the selected language, with fields.name in place of {name}. Don't call it inside a template literal,
// because Babel doesn't find it there.
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

// The language selected by `lab trace --lang`, or else the first of the browser's languages that the page has.
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
