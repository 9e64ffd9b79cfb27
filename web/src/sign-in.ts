/**
 * The sign-in at a Cognito user pool. Cognito's tokens are kept for this browser tab, so that a reload does not sign
 * the user out. When the tab is closed, they are gone.
 */

import {
  type AuthenticationResultType,
  type AuthFlowType,
  CognitoIdentityProviderClient,
  CognitoIdentityProviderServiceException,
  InitiateAuthCommand,
  type InitiateAuthCommandOutput,
} from '@aws-sdk/client-cognito-identity-provider';
import { recall, remember } from './memory';

/** An ID token is renewed so long before it expires, so that it does not expire on its way. */
const MARGIN_MS = 60_000;
/** A call that Cognito does not answer within this time has failed, and can be made again. */
const TIMEOUT_MS = 15_000;
const THROTTLED = ['TooManyRequestsException', 'LimitExceededException', 'ThrottlingException'];

interface Tokens {
  readonly username: string;
  readonly idToken: string;
  readonly refreshToken: string | null;
  readonly renewAt: number;
}

export interface SignInOptions {
  readonly region: string;
  readonly userPoolClientId: string;
  readonly cognitoEndpoint: string | null;
}

/** A refused sign-in. The message tells the user why. */
export class SignInError extends Error {
  override readonly name = 'SignInError';
}

export class SignIn {
  readonly #client: CognitoIdentityProviderClient;
  readonly #clientId: string;
  #tokens: Tokens | null;
  #refresh: Promise<string | null> | null = null;

  constructor({ region, userPoolClientId, cognitoEndpoint }: SignInOptions) {
    this.#clientId = userPoolClientId;
    this.#client = new CognitoIdentityProviderClient({
      region,
      ...(cognitoEndpoint === null ? {} : { endpoint: cognitoEndpoint }),
    });
    this.#tokens = recalledTokens(recall(this.#memoryName));
  }

  /** The user who is signed in; null for nobody. */
  get username(): string | null {
    return this.#tokens?.username ?? null;
  }

  /** It names the app client, because the tokens of another user pool would be refused. */
  get #memoryName(): string {
    return `sign-in.${this.#clientId}`;
  }

  #keep(tokens: Tokens | null): void {
    this.#tokens = tokens;
    remember(this.#memoryName, tokens);
  }

  /** Sign a user in. Rejects with a `SignInError`. */
  async signIn(username: string, password: string): Promise<void> {
    this.#keep(null);
    try {
      const answer = await this.#initiateAuth('USER_PASSWORD_AUTH', {
        USERNAME: username,
        PASSWORD: password,
      });
      if (answer.ChallengeName) {
        throw new SignInError(
          `This account has a step left that this page cannot do (${answer.ChallengeName}).`,
        );
      }
      this.#keep(readTokens(answer.AuthenticationResult, username, null));
    } catch (error) {
      throw asSignInError(error);
    }
  }

  /**
   * Return an ID token, after renewing it if it is about to expire or `isRefused`; null when the user has to sign in
   * again. Rejects when Cognito cannot be reached.
   */
  async idToken(isRefused: boolean): Promise<string | null> {
    if (!this.#tokens) {
      return null;
    }
    if (!isRefused && Date.now() < this.#tokens.renewAt) {
      return this.#tokens.idToken;
    }
    this.#refresh ??= this.#renew(this.#tokens).finally(() => {
      this.#refresh = null;
    });
    return this.#refresh;
  }

  signOut(): void {
    this.#keep(null);
  }

  #initiateAuth(flow: AuthFlowType, parameters: Record<string, string>): Promise<InitiateAuthCommandOutput> {
    return this.#client.send(
      new InitiateAuthCommand({ ClientId: this.#clientId, AuthFlow: flow, AuthParameters: parameters }),
      { abortSignal: AbortSignal.timeout(TIMEOUT_MS) },
    );
  }

  async #renew(tokens: Tokens): Promise<string | null> {
    if (tokens.refreshToken === null) {
      return null;
    }
    let renewed: Tokens | null;
    try {
      const answer = await this.#initiateAuth('REFRESH_TOKEN_AUTH', { REFRESH_TOKEN: tokens.refreshToken });
      renewed = readTokens(answer.AuthenticationResult, tokens.username, tokens.refreshToken);
    } catch (error) {
      if (!isRefusal(error)) {
        throw new Error('Cognito could not be reached.', { cause: error });
      }
      renewed = null;
    }
    if (this.#tokens !== tokens) {
      // The user has signed out meanwhile, and perhaps in as another.
      return this.#tokens?.idToken ?? null;
    }
    this.#keep(renewed);
    return renewed?.idToken ?? null;
  }
}

/** Return the tokens from before a reload; null if there are none. */
function recalledTokens(value: unknown): Tokens | null {
  const { username, idToken, refreshToken, renewAt } = (value ?? {}) as Partial<Tokens>;
  return typeof username === 'string' && typeof idToken === 'string' && typeof renewAt === 'number'
    ? { username, idToken, refreshToken: refreshToken ?? null, renewAt }
    : null;
}

function readTokens(
  result: AuthenticationResultType | undefined,
  username: string,
  refreshToken: string | null,
): Tokens {
  if (!result?.IdToken) {
    throw new SignInError('Cognito gave no ID token.');
  }
  const lifeMs = (result.ExpiresIn ?? 3600) * 1000;
  return {
    username,
    idToken: result.IdToken,
    refreshToken: result.RefreshToken ?? refreshToken,
    renewAt: Date.now() + Math.max(lifeMs - MARGIN_MS, lifeMs / 2),
  };
}

/** Return whether Cognito has refused, and would refuse again. */
function isRefusal(error: unknown): boolean {
  return (
    error instanceof CognitoIdentityProviderServiceException &&
    error.$fault === 'client' &&
    !THROTTLED.includes(error.name)
  );
}

function asSignInError(error: unknown): SignInError {
  if (error instanceof SignInError) {
    return error;
  }
  const name = error instanceof Error ? error.name : '';
  if (THROTTLED.includes(name)) {
    return new SignInError('Too many attempts. Try again in a while.');
  }
  switch (name) {
    case 'NotAuthorizedException':
    case 'UserNotFoundException':
      return new SignInError('The user name or the password is wrong.');
    case 'UserNotConfirmedException':
      return new SignInError('This account has not been confirmed yet.');
    case 'PasswordResetRequiredException':
      return new SignInError('This account needs a new password first.');
    case 'ResourceNotFoundException':
    case 'InvalidParameterException':
      return new SignInError(
        'The user pool does not accept this page. Check userPoolClientId in config.json.',
      );
    default:
      return new SignInError(
        isRefusal(error)
          ? `The sign-in was refused (${name}).`
          : 'Signing in failed: Cognito could not be reached. Try again.',
      );
  }
}
