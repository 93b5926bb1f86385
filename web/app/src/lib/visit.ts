import {
  type Event,
  EventState,
  eventId,
  type OdeonError,
  toOdeonError,
  type Visit,
} from "@odeon/sdk";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useMemo } from "react";
import { useLocation } from "react-router";
import { expose } from "./debug";
import { type InvitePage, takeInvite } from "./invite";
import { enter } from "./pass";

/** How often a page asks whether its event has begun or ended (ms). */
const WAITING_POLL_MS = 1500;
const RUNNING_POLL_MS = 5000;
/** Tokens are renewed this long (ms) before they expire. */
const RENEW_BEFORE_MS = 60_000;

/** Trades the page's invite for a visit, and keeps it fresh. */
export function useVisit(page: InvitePage, event: string) {
  const { hash } = useLocation();
  // biome-ignore lint/correctness/useExhaustiveDependencies: a link pasted into the same tab changes only the fragment
  const invite = useMemo(() => takeInvite(page, event), [page, event, hash]);
  const query = useQuery<Visit, OdeonError>({
    queryKey: ["visit", page, event, invite],
    queryFn: async ({ signal }) => {
      const visit = await enter({ page, event, invite: invite ?? "", signal });
      expose("visit", visit);
      return visit;
    },
    enabled: invite !== undefined,
    retry: (count, error) => toOdeonError(error).retryable && count < 8,
    retryDelay: (attempt) => Math.min(250 * 2 ** attempt, 4000),
    staleTime: Infinity,
    structuralSharing: false,
    refetchInterval: ({ state }) => (state.data ? untilRenewal(state.data.expireTime) : false),
    refetchIntervalInBackground: true,
  });
  return { invite, query };
}

function untilRenewal(expireTime: Date): number | false {
  const left = expireTime.getTime() - Date.now() - RENEW_BEFORE_MS;
  // setTimeout counts in 31 bits.
  return left > 2 ** 31 - 1 ? false : Math.max(5000, left);
}

/** The event as it is now; keeps the last known state while the gateway is away. */
export function useEvent(page: InvitePage, visit: Visit, invite: string): Event {
  const client = useQueryClient();
  const key = ["event", visit.event.name];
  const query = useQuery<Event, OdeonError>({
    queryKey: key,
    queryFn: () => readEvent(page, visit, invite),
    initialData: visit.event,
    refetchInterval: ({ state }) => pollInterval(state.data ?? visit.event),
    refetchIntervalInBackground: true,
    retry: false,
    structuralSharing: false,
  });
  return query.data ?? client.getQueryData<Event>(key) ?? visit.event;
}

function pollInterval(event: Event): number | false {
  if (event.state === EventState.ENDED) return false;
  return event.state === EventState.LIVE ? RUNNING_POLL_MS : WAITING_POLL_MS;
}

async function readEvent(page: InvitePage, visit: Visit, invite: string): Promise<Event> {
  try {
    const { event } = await visit.api.room.getEvent({ name: visit.event.name });
    return event ?? visit.event;
  } catch (thrown) {
    const error = toOdeonError(thrown);
    if (error.retryable) throw error;
    // An access token may have run out, or may not read events: the invite always says.
    const again = await enter({ page, event: eventId(visit.event.name), invite });
    return again.event;
  }
}
