/** What apps import from this folder. */

export { MomentoError, MomentoSession, type SessionOptions, type SessionState } from './session';
export type { MessageAge, TopicMessage } from './subscription';
export { type MomentoToken, TokenError } from './token-api';
export type { TopicListener } from './topic-connection';
export type { Position } from './topic-stream';
