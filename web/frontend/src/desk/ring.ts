// A soft ring tone made by the browser; silent where sound is not allowed yet.

const EVERY = 2; // seconds
const TIMES = 40; // longer than any phone rings
const NOTES = [
  [0, 660],
  [0.28, 880],
] as const;

export class RingTone {
  private context: AudioContext | null = null;
  private volume: GainNode | null = null;

  /** The whole ringing is given to the sound card at once: timers of a page in the background come late. */
  start(): void {
    if (this.volume) {
      return;
    }
    try {
      this.context ??= new AudioContext();
      const { context } = this;
      void context.resume().catch(() => undefined);
      const volume = context.createGain();
      volume.connect(context.destination);
      this.volume = volume;
      for (let time = 0; time < TIMES; time += 1) {
        for (const [offset, pitch] of NOTES) {
          note(context, volume, context.currentTime + time * EVERY + offset, pitch);
        }
      }
    } catch {
      // No sound device: the page still shows the call.
    }
  }

  stop(): void {
    this.volume?.disconnect();
    this.volume = null;
  }
}

function note(context: AudioContext, out: AudioNode, start: number, pitch: number): void {
  const tone = context.createOscillator();
  const volume = context.createGain();
  tone.frequency.value = pitch;
  volume.gain.setValueAtTime(0, start);
  volume.gain.linearRampToValueAtTime(0.12, start + 0.04);
  volume.gain.linearRampToValueAtTime(0, start + 0.26);
  tone.connect(volume).connect(out);
  tone.start(start);
  tone.stop(start + 0.3);
}
