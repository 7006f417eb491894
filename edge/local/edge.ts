/** `npm run edge`: the edge alone; media nodes dial it from wherever they are. */
import { launch } from './launch.ts';

await launch({ mediaNode: false });
