import {
  type StageMedia,
  type StageMember,
  type StageView,
  TrackKind,
  TrackSource,
} from "@odeon/sdk/stage";

export interface OwnMedia {
  camera: MediaStreamTrack | undefined;
  screen: MediaStreamTrack | undefined;
  microphoneMuted: boolean;
  cameraMuted: boolean;
}

export interface Tile {
  key: string;
  name: string;
  track: MediaStreamTrack | undefined;
  trackId: string | undefined;
  source: TrackSource;
  own: boolean;
  soundMuted: boolean;
  pictureMuted: boolean;
  paused: boolean;
  speaking: boolean;
}

/** Louder than this (of 127) counts as speaking. */
const SPEAKING_LEVEL = 70;

const NOTHING = {
  track: undefined,
  trackId: undefined,
  source: TrackSource.CAMERA,
  pictureMuted: true,
  paused: false,
};

/** What to show: screens first, then oneself, then the others. */
export function tilesOf(view: StageView, own: OwnMedia, ownName: string): Tile[] {
  const others = view.members.filter((m) => m.identity !== view.identity && m.admitted);
  const mine: Tile = {
    key: "own",
    name: ownName,
    own: true,
    track: own.camera,
    trackId: undefined,
    source: TrackSource.CAMERA,
    soundMuted: own.microphoneMuted,
    pictureMuted: own.cameraMuted || !own.camera,
    paused: false,
    speaking: isSpeaking(view, view.identity),
  };
  const screens: Tile[] = others.flatMap((member) => screenOf(view, member));
  if (own.screen) {
    const source = TrackSource.SCREEN;
    const screen = { key: "own-screen", track: own.screen, source, pictureMuted: false };
    screens.unshift({ ...mine, ...screen, speaking: false });
  }
  return [...screens, mine, ...others.map((member) => cameraOf(view, member))];
}

function screenOf(view: StageView, member: StageMember): Tile[] {
  const screen = mediaOf(view, member).find((m) => m.source === TrackSource.SCREEN);
  if (!screen) return [];
  return [{ ...person(view, member), ...picture(screen), key: screen.trackId, speaking: false }];
}

function cameraOf(view: StageView, member: StageMember): Tile {
  const camera = mediaOf(view, member).find(
    (m) => m.kind === TrackKind.VIDEO && m.source !== TrackSource.SCREEN,
  );
  return {
    ...person(view, member),
    ...(camera ? picture(camera) : NOTHING),
    key: member.identity,
  };
}

function mediaOf(view: StageView, member: StageMember): StageMedia[] {
  return view.media.filter((m) => m.identity === member.identity);
}

function person(view: StageView, member: StageMember) {
  const sounds = mediaOf(view, member).filter((m) => m.kind === TrackKind.AUDIO);
  const sound = sounds.find((m) => m.source === TrackSource.MICROPHONE) ?? sounds[0];
  return {
    name: member.displayName,
    own: false,
    soundMuted: sound?.muted ?? true,
    speaking: isSpeaking(view, member.identity),
  };
}

function picture(media: StageMedia) {
  const { track, trackId, source, muted, paused } = media;
  return { track, trackId, source, pictureMuted: muted, paused };
}

function isSpeaking(view: StageView, identity: string): boolean {
  return (view.members.find((m) => m.identity === identity)?.level ?? 0) > SPEAKING_LEVEL;
}
