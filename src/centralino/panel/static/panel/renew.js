// Bringing what is shown to what it should be without putting new elements in its place: a button that somebody is about
// to release, or has reached by the keyboard, stays the same button.

/** Give `old` what `made` has: attributes, texts, and children, of which those with the same `data-key` stay. */
export function renew(old, made) {
  for (const { name } of [...old.attributes]) {
    // A button that waits for its answer goes on waiting.
    if (name !== "disabled" && !made.hasAttribute(name)) old.removeAttribute(name);
  }
  for (const { name, value } of made.attributes) old.setAttribute(name, value);
  if (made.children.length) renewChildren(old, [...made.children]);
  else if (old.textContent !== made.textContent) old.textContent = made.textContent;
}

function renewChildren(parent, made) {
  const key = (child, index) => child.dataset.key ?? index;
  const known = new Map([...parent.children].map((child, index) => [key(child, index), child]));
  const children = made.map((child, index) => {
    const same = known.get(key(child, index));
    if (!same) return child;
    known.delete(key(child, index));
    renew(same, child);
    return same;
  });
  for (const child of [...parent.children]) if (!children.includes(child)) child.remove();
  children.forEach((child, index) => {
    if (parent.children[index] !== child) parent.insertBefore(child, parent.children[index] ?? null);
  });
}
