/** `npm start`: the edge and one media node beside it. */
import { launch } from './launch.ts';

await launch({ mediaNode: true });
