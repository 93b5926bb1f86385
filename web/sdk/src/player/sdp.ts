/** The few things of SDP that a WHEP client reads or changes (RFC 8866, 8839, 8840). */

export interface IceCredentials {
  ufrag: string;
  pwd: string;
}

/** Lines of a description, without ends. */
function lines(sdp: string): string[] {
  return sdp.split(/\r\n|\n/).filter((line) => line !== "");
}

function valueAfter(all: string[], prefix: string): string | undefined {
  return all.find((line) => line.startsWith(prefix))?.slice(prefix.length);
}

/** ICE credentials of a description or fragment (the first, as all are bundled). */
export function iceCredentials(sdp: string): IceCredentials | undefined {
  const all = lines(sdp);
  const ufrag = valueAfter(all, "a=ice-ufrag:");
  const pwd = valueAfter(all, "a=ice-pwd:");
  return ufrag && pwd ? { ufrag, pwd } : undefined;
}

/** A fragment that asks for an ICE restart, made from a local offer (RFC 9725, section 4.3). */
export function restartFragment(offer: string): string {
  const all = lines(offer);
  const firstMedia = all.findIndex((line) => line.startsWith("m="));
  const media = all.slice(firstMedia);
  const end = media.findIndex((line, i) => i > 0 && line.startsWith("m="));
  const section = end < 0 ? media : media.slice(0, end);
  const credentials = iceCredentials(offer);
  const group = valueAfter(all, "a=group:");
  return [
    ...(group ? [`a=group:${group}`] : []),
    ...(section[0] ? [section[0]] : []),
    `a=mid:${valueAfter(section, "a=mid:") ?? "0"}`,
    `a=ice-ufrag:${credentials?.ufrag ?? ""}`,
    `a=ice-pwd:${credentials?.pwd ?? ""}`,
    ...section.filter((line) => line.startsWith("a=candidate:")),
    "",
  ].join("\r\n");
}

/** The former answer with the credentials and candidates of a restart's fragment. */
export function applyFragment(answer: string, fragment: string): string {
  const fresh = iceCredentials(fragment);
  if (!fresh) throw new TypeError("the fragment has no ICE credentials");
  const candidates = lines(fragment).filter((line) => line.startsWith("a=candidate:"));
  const result: string[] = [];
  for (const line of lines(answer)) {
    if (line.startsWith("a=ice-ufrag:")) result.push(`a=ice-ufrag:${fresh.ufrag}`);
    else if (line.startsWith("a=ice-pwd:")) result.push(`a=ice-pwd:${fresh.pwd}`, ...candidates);
    else if (candidates.length > 0 && line.startsWith("a=candidate:")) continue;
    else result.push(line);
  }
  return `${result.join("\r\n")}\r\n`;
}
