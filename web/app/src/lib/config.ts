import { Tracer } from "@odeon/sdk";
import { useQuery } from "@tanstack/react-query";

/** What the gateway tells every page; see GET /config.json. */
export interface PublicConfig {
  api_key_required: boolean;
  demo: { watch_url: string; studio_url: string; title: string } | null;
  /** Whether POST /v1/traces takes the spans of pages. */
  traces?: boolean;
}

export const baseUrl = window.location.origin;

let loading: Promise<PublicConfig> | undefined;

/** The gateway's configuration, fetched once. */
export function loadConfig(): Promise<PublicConfig> {
  loading ??= fetch("/config.json")
    .then((response) => {
      if (!response.ok) throw new TypeError(`config.json: ${response.status}`);
      return response.json() as Promise<PublicConfig>;
    })
    .catch((error: unknown) => {
      loading = undefined;
      throw error;
    });
  return loading;
}

export function useConfig() {
  return useQuery({ queryKey: ["config"], queryFn: loadConfig, staleTime: Infinity });
}

let tracer: Promise<Tracer> | undefined;

/** The page's tracer; it exports only where the gateway takes spans. */
export function loadTracer(): Promise<Tracer> {
  tracer ??= loadConfig().then(
    (config) => new Tracer({ exportUrl: config.traces ? `${baseUrl}/v1/traces` : undefined }),
    () => new Tracer(),
  );
  return tracer;
}
