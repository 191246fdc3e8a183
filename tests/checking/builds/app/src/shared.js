export function shared(text) {
  const element = document.createElement("p");
  element.textContent = `${text} of ${document.title}`;
  return element;
}
