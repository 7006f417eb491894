import { describeFanoutEngine } from './fanout-engine.contract.ts';
import { PortableEngine } from './portable-engine.ts';

describeFanoutEngine('portable', () => new PortableEngine());
