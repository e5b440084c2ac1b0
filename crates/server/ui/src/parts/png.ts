// The picture as a file: what is on the screen with its title, its legend and a link to it.

import { seriesWords } from '../model/facts';
import { exact } from '../model/format';
import { BAR_HEIGHT, drawBar, drawSwatch, legendItems, SWATCH } from '../picture/legend';
import type { Session } from '../session.svelte';

export interface Words { title: string; keys: string; foot: string; link: string }

const PAD = 16;
const HEAD = 84;
const FOOT = 46;

export async function asPng(session: Session, words: Words): Promise<Blob | null> {
  const { found, theme, shown } = session;
  const base = document.getElementById('base');
  if (!(base instanceof HTMLCanvasElement) || !found || !session.model) return null;
  const ratio = window.devicePixelRatio || 1;
  const [w, h] = [base.width / ratio, base.height / ratio];
  const canvas = document.createElement('canvas');
  canvas.width = Math.round((w + 2 * PAD) * ratio);
  canvas.height = Math.round((h + HEAD + FOOT) * ratio);
  const ctx = canvas.getContext('2d');
  if (!ctx) return null;
  ctx.scale(ratio, ratio);
  ctx.fillStyle = theme.bg;
  ctx.fillRect(0, 0, w + 2 * PAD, h + HEAD + FOOT);
  ctx.fillStyle = theme.fg;
  ctx.font = `600 15px ${theme.sans}`;
  ctx.fillText(`keyviz   ${words.title}${words.keys ? `   ${words.keys}` : ''}`, PAD, 26, w);
  ctx.translate(PAD, 42);
  const bar = Math.min(320, w * 0.3);
  drawBar(ctx, found.scale, shown.palette, seriesWords(shown.series).bytes, bar, theme);
  ctx.font = `12px ${theme.sans}`;
  ctx.textBaseline = 'alphabetic';
  ctx.textAlign = 'left';
  let x = bar + 14;
  const label = (text: string, at: number): void => { ctx.fillStyle = theme.dim; ctx.fillText(text, at, 11); };
  const max = `max ${exact(found.max)}`;
  label(max, x);
  x += ctx.measureText(max).width + 24;
  for (const item of legendItems(found.marks, found.anyLost, shown.palette, theme)) {
    const length = ctx.measureText(item.name).width;
    if (x + SWATCH.w + length + 22 > w) break;
    drawSwatch(ctx, item, x, 0, theme);
    label(item.name, x + SWATCH.w + 6);
    x += SWATCH.w + length + 22;
  }
  ctx.setTransform(1, 0, 0, 1, 0, 0);
  ctx.drawImage(base, Math.round(PAD * ratio), Math.round((42 + BAR_HEIGHT + 12) * ratio));
  ctx.scale(ratio, ratio);
  ctx.fillStyle = theme.dim;
  ctx.font = `11px ${theme.sans}`;
  ctx.fillText(words.foot, PAD, h + HEAD + 14, w);
  ctx.font = `11px ${theme.mono}`;
  ctx.fillText(words.link, PAD, h + HEAD + 32, w);
  return new Promise((done) => canvas.toBlob(done, 'image/png'));
}
