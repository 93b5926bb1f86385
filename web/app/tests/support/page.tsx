import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { render } from "@testing-library/react";
import i18next from "i18next";
import type { ComponentType } from "react";
import { initReactI18next } from "react-i18next";
import { createMemoryRouter, RouterProvider } from "react-router";
import { vi } from "vitest";
import en from "../../src/locales/en.json";

// jsdom has no dialogs, media or measured layout.
HTMLMediaElement.prototype.play = async () => undefined;
HTMLMediaElement.prototype.load = () => undefined;

export async function startStrings(): Promise<void> {
  await i18next.use(initReactI18next).init({
    lng: "en",
    resources: { en: { translation: en } },
    interpolation: { escapeValue: false },
  });
}

/** Renders a page as the router would. */
export function renderPage(Page: ComponentType, path: string, address: string) {
  const router = createMemoryRouter([{ path, element: <Page /> }], { initialEntries: [address] });
  window.history.replaceState(null, "", address);
  const queries = new QueryClient({ defaultOptions: { queries: { networkMode: "always" } } });
  return render(
    <QueryClientProvider client={queries}>
      <RouterProvider router={router} />
    </QueryClientProvider>,
  );
}

export interface Call {
  method: string;
  body: Record<string, unknown>;
  bearer: string;
}

type Answer = { status?: number; body: unknown };

/** A gateway at the fetch boundary: answers Connect calls by method name. */
export function fakeGateway(answer: (call: Call) => Answer) {
  const calls: Call[] = [];
  const fetch = async (input: RequestInfo | URL, init?: RequestInit): Promise<Response> => {
    const request = new Request(new URL(String(input), window.location.href), init);
    const text = await request.text();
    const call = {
      method: new URL(request.url).pathname.split("/").at(-1) ?? "",
      body: text ? (JSON.parse(text) as Record<string, unknown>) : {},
      bearer: (request.headers.get("authorization") ?? "").replace(/^Bearer /, ""),
    };
    calls.push(call);
    const { status = 200, body } = answer(call);
    return Response.json(body, { status });
  };
  vi.stubGlobal("fetch", fetch);
  return calls;
}
