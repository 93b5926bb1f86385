/** Pages that are entered with an invite; each keeps its own, for a host may also watch. */
export type InvitePage = "watch" | "guest" | "studio";

interface Place {
  location: Pick<Location, "hash" | "pathname" | "search">;
  history: Pick<History, "replaceState" | "state">;
  storage: Pick<Storage, "getItem" | "setItem">;
}

const here = (): Place => ({
  location: window.location,
  history: window.history,
  storage: window.sessionStorage,
});

/**
 * The invite of a page: from the address's fragment, or as kept by an earlier load of it.
 *
 * A fragment is moved into the tab's storage and leaves the address bar, but only when the
 * storage gives it back, so that a reload never loses it.
 */
export function takeInvite(page: InvitePage, event: string, place = here()): string | undefined {
  const { location, history, storage } = place;
  const key = `odeon.invite.${page}.${event}`;
  const linked = new URLSearchParams(location.hash.slice(1)).get("invite");
  if (!linked) return read(storage, key);
  if (keep(storage, key, linked)) {
    history.replaceState(history.state, "", `${location.pathname}${location.search}`);
  }
  return linked;
}

function read(storage: Place["storage"], key: string): string | undefined {
  try {
    return storage.getItem(key) ?? undefined;
  } catch {
    return undefined;
  }
}

function keep(storage: Place["storage"], key: string, invite: string): boolean {
  try {
    storage.setItem(key, invite);
    return storage.getItem(key) === invite;
  } catch {
    return false;
  }
}

/** Where a pasted link leads on this site; undefined when it is not a link to an event. */
export function parseEventLink(text: string): string | undefined {
  const match = /\/(watch|guest|studio)\/([a-z0-9][a-z0-9-]{0,62})(?:\?[^#\s]*)?(#\S*)?\s*$/.exec(
    text,
  );
  return match ? `/${match[1]}/${match[2]}${match[3] ?? ""}` : undefined;
}
