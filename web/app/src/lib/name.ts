import { useState } from "react";

const KEY = "odeon.name";

/** The name that somebody goes by on stage, remembered on this device. */
export function storedName(): string {
  return localStorage.getItem(KEY) ?? "";
}

/** A name to edit; `keep` remembers it and gives it back without blanks around it. */
export function useName() {
  const [name, setName] = useState(storedName);
  const keep = (): string => {
    const trimmed = name.trim();
    localStorage.setItem(KEY, trimmed);
    return trimmed;
  };
  return { name, setName, keep };
}
