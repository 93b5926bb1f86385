import { OdeonClient } from "@odeon/sdk";
import { useMemo, useState } from "react";
import { baseUrl } from "../../lib/config";

const KEY = "odeon.access";

interface Access {
  token: string;
  /** Unix milliseconds. */
  expires: number;
}

export interface Session {
  /** Undefined until signed in, where that is needed. */
  client: OdeonClient | undefined;
  signedIn: boolean;
  signIn: (secret: string) => Promise<void>;
  signOut: () => void;
}

/** Calls in the name of an API key. The key is traded at once and never kept; the token is, for this tab. */
export function useSession(keyRequired: boolean): Session {
  const [access, setAccess] = useState<Access | undefined>(stored);
  const client = useMemo(() => {
    if (access) return new OdeonClient({ baseUrl, token: access.token });
    return keyRequired ? undefined : new OdeonClient({ baseUrl });
  }, [access, keyRequired]);

  const signIn = async (secret: string): Promise<void> => {
    const answer = await new OdeonClient({ baseUrl }).auth.exchangeApiKey({ secret });
    const seconds = Number(answer.expireTime?.seconds ?? 0n);
    const next = { token: answer.token, expires: seconds * 1000 || Date.now() + 600_000 };
    sessionStorage.setItem(KEY, JSON.stringify(next));
    setAccess(next);
  };
  const signOut = (): void => {
    sessionStorage.removeItem(KEY);
    setAccess(undefined);
  };
  return { client, signedIn: access !== undefined, signIn, signOut };
}

function stored(): Access | undefined {
  try {
    const access = JSON.parse(sessionStorage.getItem(KEY) ?? "null") as Access | null;
    return access && access.expires > Date.now() ? access : undefined;
  } catch {
    return undefined;
  }
}
