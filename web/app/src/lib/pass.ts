import { type EnterOptions, enterEvent, type Visit } from "@odeon/sdk";
import { baseUrl } from "./config";
import type { InvitePage } from "./invite";

/*
 * A link that many hold makes a new person of everybody who enters with it. The access token of
 * the first entry is kept for the tab, so that a reload or a reconnect is the same person again.
 */

interface Pass {
  invite: string;
  token: string;
}

export interface Entering extends Pick<EnterOptions, "displayName" | "traceparent" | "signal"> {
  page: InvitePage;
  /** Event id. */
  event: string;
  invite: string;
}

/** Enters, as the person that this tab was before if it was one. */
export async function enter(entering: Entering): Promise<Visit> {
  const { page, event, invite, ...rest } = entering;
  const key = `odeon.pass.${page}.${event}`;
  const visit = await enterEvent({ baseUrl, event, invite, pass: read(key, invite), ...rest });
  write(key, { invite, token: visit.accessToken });
  return visit;
}

/** Another link to the same event is another person. */
function read(key: string, invite: string): string | undefined {
  try {
    const pass = JSON.parse(sessionStorage.getItem(key) ?? "null") as Pass | null;
    return pass?.invite === invite ? pass.token : undefined;
  } catch {
    return undefined;
  }
}

function write(key: string, pass: Pass): void {
  try {
    sessionStorage.setItem(key, JSON.stringify(pass));
  } catch {
    // Without storage a reload makes a new person; nothing else is lost.
  }
}
