import type { Visit } from "@odeon/sdk";
import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useMemo, useRef, useState } from "react";

/**
 * The playlist's address. A renewed visit brings a new token, but a playback that goes on
 * keeps the old one: only when that is refused is the new one taken.
 */
export function usePlaylistUrl(visit: Visit): { url: string; renew: () => void } {
  const queries = useQueryClient();
  const [url, setUrl] = useState(visit.playlistUrl);
  const latest = useRef(visit.playlistUrl);
  latest.current = visit.playlistUrl;
  useEffect(() => {
    setUrl((now) => now || visit.playlistUrl);
  }, [visit.playlistUrl]);
  const renew = useMemo(
    () => () => {
      void queries
        .refetchQueries({ queryKey: ["visit", "watch"] })
        .then(() => setUrl(latest.current));
    },
    [queries],
  );
  return { url, renew };
}
