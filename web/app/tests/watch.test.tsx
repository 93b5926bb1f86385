// @vitest-environment jsdom
import { cleanup, screen, waitFor } from "@testing-library/react";
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { fakeGateway, renderPage, startStrings } from "./support/page";

// The player itself needs a browser; the end-to-end tests have one.
vi.mock("../src/pages/watch/Player", () => ({
  default: ({ visit }: { visit: { playlistUrl: string } }) => <p>plays {visit.playlistUrl}</p>,
}));

const { Component: WatchPage } = await import("../src/pages/watch/WatchPage");

beforeAll(startStrings);
beforeEach(() => sessionStorage.clear());
afterEach(() => {
  cleanup();
  vi.unstubAllGlobals();
});

const entered = (state: string) => ({
  event: { name: "events/launch", title: "Launch", state },
  role: "viewer",
  identity: "p-1",
  playlistUrl: "http://edge/main.m3u8",
  accessToken: "access",
  expireTime: "2040-01-01T00:00:00Z",
});

const open = (hash = "#invite=link"): void => {
  renderPage(WatchPage, "/watch/:event", `/watch/launch${hash}`);
};

describe("the watch page", () => {
  it("plays an event that is live", async () => {
    fakeGateway(({ method }) =>
      method === "EnterEvent"
        ? { body: entered("STATE_LIVE") }
        : { body: { event: entered("STATE_LIVE").event } },
    );
    open();
    expect(await screen.findByText("plays http://edge/main.m3u8")).toBeTruthy();
    expect(document.title).toBe("Launch · Odeon");
  });

  it("waits for the host and then begins by itself", async () => {
    let state = "STATE_SCHEDULED";
    fakeGateway(({ method }) =>
      method === "EnterEvent"
        ? { body: entered(state) }
        : { body: { event: entered(state).event } },
    );
    open();
    expect(await screen.findByTestId("waiting-for-host")).toBeTruthy();
    state = "STATE_LIVE";
    await waitFor(() => expect(screen.getByText(/^plays/)).toBeTruthy(), { timeout: 4000 });
  });

  it("says that a link has expired, and takes another", async () => {
    fakeGateway(() => ({ status: 401, body: { code: "unauthenticated", message: "expired" } }));
    open();
    expect(await screen.findByTestId("trouble-linkInvalid")).toBeTruthy();
    expect(screen.getByRole("textbox", { name: "Link to an event" })).toBeTruthy();
  });

  it("asks for a link when it has none", async () => {
    const calls = fakeGateway(() => ({ body: {} }));
    open("");
    expect(await screen.findByTestId("trouble-linkMissing")).toBeTruthy();
    expect(calls).toEqual([]);
  });

  it("is the same viewer after a reload", async () => {
    const calls = fakeGateway(() => ({ body: entered("STATE_SCHEDULED") }));
    open();
    await screen.findByTestId("waiting-for-host");
    cleanup();
    open("");
    await screen.findByTestId("waiting-for-host");
    const bearers = calls.filter((c) => c.method === "EnterEvent").map((c) => c.bearer);
    expect(bearers).toEqual(["link", "access"]);
  });
});
