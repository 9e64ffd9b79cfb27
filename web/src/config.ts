/** The page's configuration, read from `config.json` beside it. */

export interface SampleUser {
  readonly username: string;
  readonly password: string;
}

export interface Config {
  readonly tokenUrl: string;
  readonly region: string;
  readonly userPoolClientId: string;
  /** The local stack's Cognito; null for AWS's. */
  readonly cognitoEndpoint: string | null;
  /** The local stack's Momento; null for the one that the tokens name. */
  readonly momentoEndpoint: string | null;
  /** The course that the page opens with; null for a page without comments. */
  readonly courseId: string | null;
  /** The poll that the page opens with; null for a page without polls. */
  readonly pollId: string | null;
  /** The chat room that the page opens with; null for a page without chat. */
  readonly room: string | null;
  /** The languages that the chat is translated into, such as `en`. */
  readonly languages: readonly string[];
  /** Users who can sign in with one click. Only the local stack has some. */
  readonly users: readonly SampleUser[];
}

export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

/** Read `config.json`. Rejects with a `ConfigError` that says what to do. */
export async function loadConfig(): Promise<Config> {
  let content: unknown;
  try {
    const response = await fetch('./config.json', { cache: 'no-store' });
    if (!response.ok) {
      throw new Error(`status ${response.status}`);
    }
    content = await response.json();
  } catch {
    throw new ConfigError(
      'There is no config.json beside this page. Copy config.example.json to config.json, and fill in the ' +
        'outputs of your deployment. The local stack serves one by itself.',
    );
  }
  return parseConfig(content);
}

function parseConfig(content: unknown): Config {
  const fields = (typeof content === 'object' && content !== null ? content : {}) as Record<string, unknown>;
  const config = {
    tokenUrl: required(fields, 'tokenUrl'),
    region: required(fields, 'region'),
    userPoolClientId: required(fields, 'userPoolClientId'),
    cognitoEndpoint: optional(fields, 'cognitoEndpoint'),
    momentoEndpoint: optional(fields, 'momentoEndpoint'),
    courseId: optional(fields, 'courseId'),
    pollId: optional(fields, 'pollId'),
    room: optional(fields, 'room'),
    languages: Array.isArray(fields.languages) ? fields.languages.filter(isString) : [],
    users: Array.isArray(fields.users) ? fields.users.filter(isSampleUser) : [],
  };
  if (config.courseId === null && config.pollId === null && config.room === null) {
    throw new ConfigError(
      'config.json has neither courseId nor pollId nor room, so there is nothing to show.',
    );
  }
  if (config.room !== null && config.languages.length === 0) {
    throw new ConfigError(
      'config.json has a room, but no languages: list those of the parameter ChatLanguages.',
    );
  }
  return config;
}

function required(fields: Record<string, unknown>, name: string): string {
  const value = optional(fields, name);
  if (!value) {
    throw new ConfigError(`config.json has no ${name}. config.example.json shows what belongs in it.`);
  }
  return value;
}

function optional(fields: Record<string, unknown>, name: string): string | null {
  const value = fields[name];
  return typeof value === 'string' ? value : null;
}

function isString(value: unknown): value is string {
  return typeof value === 'string';
}

function isSampleUser(user: unknown): user is SampleUser {
  const { username, password } = (user ?? {}) as Partial<SampleUser>;
  return typeof username === 'string' && typeof password === 'string';
}
