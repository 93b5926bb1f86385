import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface Seen {
  path: string;
  headers: IncomingMessage["headers"];
  body: string;
  method: string;
}

export interface Answer {
  status?: number;
  headers?: Record<string, string>;
  /** Sent as JSON unless it is text. */
  body?: unknown;
}

/** A small HTTP server on loopback that answers as a test says. */
export async function startGateway(answer: (seen: Seen) => Answer) {
  const seen: Seen[] = [];
  const server = createServer((request: IncomingMessage, response: ServerResponse) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const { url: path = "", headers, method = "" } = request;
      const call = { path, headers, method, body: Buffer.concat(chunks).toString() };
      seen.push(call);
      const { status = 200, headers: more = {}, body = {} } = answer(call);
      response.writeHead(status, { "content-type": "application/json", ...more });
      response.end(typeof body === "string" ? body : JSON.stringify(body));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    seen,
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** Bytes of a google.rpc.ErrorInfo, base64 as Connect sends it. */
export function errorInfo(reason: string, domain: string, metadata: Record<string, string> = {}) {
  const field = (number: number, bytes: Buffer): Buffer =>
    Buffer.concat([Buffer.from([(number << 3) | 2, bytes.length]), bytes]);
  const entries = Object.entries(metadata).map(([key, value]) =>
    field(3, Buffer.concat([field(1, Buffer.from(key)), field(2, Buffer.from(value))])),
  );
  const whole = [field(1, Buffer.from(reason)), field(2, Buffer.from(domain)), ...entries];
  return Buffer.concat(whole).toString("base64").replace(/=+$/, "");
}
