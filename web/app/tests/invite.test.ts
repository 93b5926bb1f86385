import { describe, expect, it } from "vitest";
import { parseEventLink, takeInvite } from "../src/lib/invite";

function place(hash: string, storage: { broken?: boolean } = {}) {
  const kept = new Map<string, string>();
  const replaced: string[] = [];
  return {
    kept,
    replaced,
    location: { hash, pathname: "/watch/launch", search: "?debug=1" },
    history: {
      state: null,
      replaceState: (_: unknown, __: string, url?: string | URL | null) => {
        replaced.push(String(url));
      },
    },
    storage: {
      getItem: (key: string) => kept.get(key) ?? null,
      setItem: (key: string, value: string) => {
        if (storage.broken) throw new DOMException("full", "QuotaExceededError");
        kept.set(key, value);
      },
    },
  };
}

describe("an invite in the address", () => {
  it("moves into the tab's storage and leaves the address bar", () => {
    const here = place("#invite=abc");
    expect(takeInvite("watch", "launch", here)).toBe("abc");
    expect(here.replaced).toEqual(["/watch/launch?debug=1"]);
    expect(takeInvite("watch", "launch", { ...here, location: place("").location })).toBe("abc");
  });

  it("stays in the address bar when a reload would lose it", () => {
    const here = place("#invite=abc", { broken: true });
    expect(takeInvite("watch", "launch", here)).toBe("abc");
    expect(here.replaced).toEqual([]);
  });

  it("belongs to one page of one event", () => {
    const here = place("#invite=abc");
    takeInvite("studio", "launch", here);
    const later = { ...here, location: place("").location };
    expect(takeInvite("watch", "launch", later)).toBeUndefined();
    expect(takeInvite("studio", "other", later)).toBeUndefined();
  });
});

describe("a pasted link", () => {
  it.each([
    ["https://live.example.com/watch/launch#invite=abc", "/watch/launch#invite=abc"],
    ["  http://127.0.0.1:8080/guest/ev-1?x=1#invite=a.b-c ", "/guest/ev-1#invite=a.b-c"],
    ["live.example.com/studio/launch", "/studio/launch"],
  ])("leads to its page: %s", (text, path) => {
    expect(parseEventLink(text)).toBe(path);
  });

  it.each(["", "hello", "https://example.com/about", "javascript:alert(1)//watch/"])(
    "that is none is refused: %s",
    (text) => {
      expect(parseEventLink(text)).toBeUndefined();
    },
  );
});
