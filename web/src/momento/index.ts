/** What an app uses of this folder. */

export { MomentoError, MomentoSession, type SessionOptions, type SessionState } from './session';
export { type MomentoToken, TokenError } from './token-api';
export type { Position, TopicMessage } from './topic-stream';
