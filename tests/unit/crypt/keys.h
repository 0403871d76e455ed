/* SPDX-License-Identifier: Apache-2.0
 *
 * keys: made for these tests, used nowhere else.
 */
#pragma once

/* PKCS#8 */
__attribute__((unused)) static const char rsa_pem[] =
	"-----BEGIN PRIVATE KEY-----\n"
	"MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC6x0p15XrQ0m9l\n"
	"mZH3DI1CY3bqb7ifdzUZRKJfQkrP4g2ot3tc02DgHFxbDrIYNm+NHE573i9NwreL\n"
	"9t/326gkWsrSCrDhWIDJepKdMlk83w3kLEYuBynwe9mDN1mlQ3CtE6lZK8/ZxdtZ\n"
	"cMPYAv0gNkV2rZ7y+KuwlBE+DvOfy0YW61dBhzYW8SSxGIsVacIEfIFjpWaET7M7\n"
	"IHQ849571FqMl1lQ5D2WXcF0cJ7JU6BrxMOTaaSZkhrIAiwk1j3SxvIiseZBOFku\n"
	"qWKUlUo1U9xwIHTP2HNh6FQKxk+aMW7xvM5wiy7wo2vas7LD/mb+Aq/gaLdfLNfQ\n"
	"tiTwUOYzAgMBAAECggEAHPVjLQ5MUW4fCWCbCfOvPxjOyiBSPp8r42QJzL0pfjut\n"
	"JHh2Lvky7uxWwWNw52IhP36hCIF1Uhgbfx7isLokwqY1BgXUUMv5A8P2UVsKDO8E\n"
	"Z1kZ9G716Kw7GCYPxxjCsoL24bVyP3B2xtI9+xLTjhf8Ax9+Imu9qt36ImYNDbwh\n"
	"XX+cBVMpKVFSehKe7jAnBi5rbkjWBP+YsB+jxRgbwc5PcXOGHVHHdq3aKge7AT1l\n"
	"QIqpxRwYB8lte2JH9rjA10a3iONDGD4HMdAJYXQr98v9FH9of4pICuRy6zqbiEK3\n"
	"9FiImM5siA1k/e01doJK4XMGjWkBYSKeObIIL96G8QKBgQDw0w4T1Yd0Enhj0kRd\n"
	"AjwRIsz3p6c65GXljVtCHGEUccjm8eoB4pyYIw12RA0kCYjzEB/lNo/SUH4uA28u\n"
	"SeIsfAgPPuKtZRhJuhFnIex9vXzzb69K8mXlbdpNEh1X1QmPoCj6y/aCoah6BbdI\n"
	"opcWFAf9OLLDyDWA0lztyJ3dKwKBgQDGjF/VLEclf3vOndmfM9QLRUSSj1EG6660\n"
	"kSqbF+w0yjnHGrc6iWq46gWFUL2mNdE3H1SxOFj/w6l/QLAIL1Yinxb+6n24AM4e\n"
	"BZTabk/gjH/+IKdBhhqpb57swIn1qDnuaJFPCU6ssxrDl5uB2HJkS4JRsjpabfmZ\n"
	"JWSujb5nGQKBgDrIea4zt92ISKStBYziZ8ETCo8E+FfyukCfEYCApt2zrINa13Dg\n"
	"XLLyE24jzEVYonoaHH75o3+FsFcQ9YmJ9VBAckMuaWxDufr9FRRkfnJu11ogj9wu\n"
	"cNrgxqF7Y3g2AyBwyq/1K1XVmec3D/cF4PU9rHmN5mzNqOmp748HIimDAoGBAJK3\n"
	"MCmqKni/F5G6exF1jv81FFLorItcpSCxFLa+msD3nnJOf4819DLoW2QEIeAsbIk7\n"
	"Ea5TYRC+WQW7m1ixAglbXfbI+FV74tO0dCZk1YmsyPfU0UNOAW2rGdkA/fEVepl9\n"
	"k8K/se9T+jcGVNdCRmVulsIf3ZbtJT/RrfB+tXAhAoGAfxzXsq8TyuBq7J6nMOk/\n"
	"5uAOYpewOQ3iE4udTrD1P5MODsk/OaWbDS4AW+kHNs+U7b1L/GLiMbj61EOWbPZe\n"
	"ZXD6CPKFbMKpfaJZOVEwCSpIqTdA+zBUCLgnhqlRdyXx/X2JQ6oe5crR/SntHZvL\n"
	"AftKu6+p9ETXYN6jnTBAOS4=\n"
	"-----END PRIVATE KEY-----\n";

/* the same key, PKCS#1 */
__attribute__((unused)) static const char rsa_pkcs1_pem[] =
	"-----BEGIN RSA PRIVATE KEY-----\n"
	"MIIEowIBAAKCAQEAusdKdeV60NJvZZmR9wyNQmN26m+4n3c1GUSiX0JKz+INqLd7\n"
	"XNNg4BxcWw6yGDZvjRxOe94vTcK3i/bf99uoJFrK0gqw4ViAyXqSnTJZPN8N5CxG\n"
	"Lgcp8HvZgzdZpUNwrROpWSvP2cXbWXDD2AL9IDZFdq2e8virsJQRPg7zn8tGFutX\n"
	"QYc2FvEksRiLFWnCBHyBY6VmhE+zOyB0POPee9RajJdZUOQ9ll3BdHCeyVOga8TD\n"
	"k2mkmZIayAIsJNY90sbyIrHmQThZLqlilJVKNVPccCB0z9hzYehUCsZPmjFu8bzO\n"
	"cIsu8KNr2rOyw/5m/gKv4Gi3XyzX0LYk8FDmMwIDAQABAoIBABz1Yy0OTFFuHwlg\n"
	"mwnzrz8YzsogUj6fK+NkCcy9KX47rSR4di75Mu7sVsFjcOdiIT9+oQiBdVIYG38e\n"
	"4rC6JMKmNQYF1FDL+QPD9lFbCgzvBGdZGfRu9eisOxgmD8cYwrKC9uG1cj9wdsbS\n"
	"PfsS044X/AMffiJrvard+iJmDQ28IV1/nAVTKSlRUnoSnu4wJwYua25I1gT/mLAf\n"
	"o8UYG8HOT3Fzhh1Rx3at2ioHuwE9ZUCKqcUcGAfJbXtiR/a4wNdGt4jjQxg+BzHQ\n"
	"CWF0K/fL/RR/aH+KSArkcus6m4hCt/RYiJjObIgNZP3tNXaCSuFzBo1pAWEinjmy\n"
	"CC/ehvECgYEA8NMOE9WHdBJ4Y9JEXQI8ESLM96enOuRl5Y1bQhxhFHHI5vHqAeKc\n"
	"mCMNdkQNJAmI8xAf5TaP0lB+LgNvLkniLHwIDz7irWUYSboRZyHsfb1882+vSvJl\n"
	"5W3aTRIdV9UJj6Ao+sv2gqGoegW3SKKXFhQH/Tiyw8g1gNJc7cid3SsCgYEAxoxf\n"
	"1SxHJX97zp3ZnzPUC0VEko9RBuuutJEqmxfsNMo5xxq3OolquOoFhVC9pjXRNx9U\n"
	"sThY/8Opf0CwCC9WIp8W/up9uADOHgWU2m5P4Ix//iCnQYYaqW+e7MCJ9ag57miR\n"
	"TwlOrLMaw5ebgdhyZEuCUbI6Wm35mSVkro2+ZxkCgYA6yHmuM7fdiEikrQWM4mfB\n"
	"EwqPBPhX8rpAnxGAgKbds6yDWtdw4Fyy8hNuI8xFWKJ6Ghx++aN/hbBXEPWJifVQ\n"
	"QHJDLmlsQ7n6/RUUZH5ybtdaII/cLnDa4Mahe2N4NgMgcMqv9StV1ZnnNw/3BeD1\n"
	"Pax5jeZszajpqe+PByIpgwKBgQCStzApqip4vxeRunsRdY7/NRRS6KyLXKUgsRS2\n"
	"vprA955yTn+PNfQy6FtkBCHgLGyJOxGuU2EQvlkFu5tYsQIJW132yPhVe+LTtHQm\n"
	"ZNWJrMj31NFDTgFtqxnZAP3xFXqZfZPCv7HvU/o3BlTXQkZlbpbCH92W7SU/0a3w\n"
	"frVwIQKBgH8c17KvE8rgauyepzDpP+bgDmKXsDkN4hOLnU6w9T+TDg7JPzmlmw0u\n"
	"AFvpBzbPlO29S/xi4jG4+tRDlmz2XmVw+gjyhWzCqX2iWTlRMAkqSKk3QPswVAi4\n"
	"J4apUXcl8f19iUOqHuXK0f0p7R2bywH7SruvqfRE12Deo50wQDku\n"
	"-----END RSA PRIVATE KEY-----\n";

/* too short */
__attribute__((unused)) static const char rsa1024_pem[] =
	"-----BEGIN PRIVATE KEY-----\n"
	"MIICdgIBADANBgkqhkiG9w0BAQEFAASCAmAwggJcAgEAAoGBALsD9MNAaiyw265K\n"
	"TJv4OemWjS4AWoTMliYjdhY0gPb6moZOfoeaKYxXvR/G2B+t/H0mlqTsvObAq3Ck\n"
	"LByCjzplIRvMJ3x6B70iRL5/TK8cXmjoP42XGWezVzEnmVrDxEI6M9VIJhV3QmoW\n"
	"c9hfp+FjzFWVgrFVXbQxCnaOVqpVAgMBAAECgYEAoeMDzr0E69jQ4afJdz5CC3Va\n"
	"ktaVhN2AoFUUFJawiJtYhiiOmR2XF7ifq1E6pvm6Vi/AOdYAk5N3FJPY53kRN5Sm\n"
	"oKBtII0475RYctRVcJ32+u7Huukb01bJsKEl6Jp6LaOTTTKv/LJ7yQYaFXR/i8CS\n"
	"sxeOWoPccgEDbgU0LMUCQQDrEwkF1dWY6ynlCoFsEOZsdTHsLJLtj5ETFo5t2zNl\n"
	"YjO3y7f6Ullj0MpkgnrvU53ygwMXONPMre7b2cja9HpDAkEAy6m8cgIQiLReSt5k\n"
	"9lonSAet5lflU+jzi0KVSuGVLeD/erMXUOGYbMWHAxh3z9YzUHE1v1R99lPcP/PG\n"
	"/+R7hwJAKWSMri5dEjQ2iFI1P+Yp7OcmB0RCCvrAvO+33LhAcJW+LZr9pmJhwyW8\n"
	"vb4MD6BVq6JOJQSopt3ptWS/7W4nKQJAKmTYrzqyymIRRrBof8dgaeP/VPVy7TaO\n"
	"i6x+eynd7cDqLVZeQh3TpsCvS/up5P+HivUl5P/ngIEQVdee0uFyvQJAJKdFV5oL\n"
	"nacqHTE/OHrxMqtu0ZcYe9m/hxm9mjv0UQ3tBk1hesyKsr2YYpsVfyxZlv4L27/S\n"
	"+Ayrv7fiWcAPIQ==\n"
	"-----END PRIVATE KEY-----\n";

/* PKCS#8 */
__attribute__((unused)) static const char ec_pem[] =
	"-----BEGIN PRIVATE KEY-----\n"
	"MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg8yz4jH+g3kv/OKDb\n"
	"C5XJat0MWZNXAktS997+oBQcGLShRANCAAQJWIrDWo/g+ShcDjvlPdzB0bZBP9rz\n"
	"gSIneNAHy91Q0hPdkt9RcYULPIgTGjxN4299EYFEfw91lJ4S+VrZfEqK\n"
	"-----END PRIVATE KEY-----\n";

/* the same key, SEC1 with a compressed point */
__attribute__((unused)) static const char ec_compressed_pem[] =
	"-----BEGIN EC PRIVATE KEY-----\n"
	"MFcCAQEEIPMs+Ix/oN5L/zig2wuVyWrdDFmTVwJLUvfe/qAUHBi0oAoGCCqGSM49\n"
	"AwEHoSQDIgACCViKw1qP4PkoXA475T3cwdG2QT/a84EiJ3jQB8vdUNI=\n"
	"-----END EC PRIVATE KEY-----\n";

/* the same key under the pass phrase sesame */
__attribute__((unused)) static const char ec_encrypted_pem[] =
	"-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
	"MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAjLNO6w8FbCdAICCAAw\n"
	"DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEJlfDA4QRA8lZJC6R+CkoXkEgZAO\n"
	"+2LCU7TpXRU+gR2OqBNJRrIl7GUtwQgRX9WP8KopMwOQ4OLl4cgfOvDGa+f6GZ0v\n"
	"2BP/So6JCwQ+p2v4O5N4booetIVGLf7OuN1dBjXKpDc+VmG0vuYQNCAn8i0spDC1\n"
	"M1bxvymiQfTdRliLew/y5Dc4MVXTcUrprK0SbNZjiFqnPLc/5q3SCuWq6oqU9nA=\n"
	"-----END ENCRYPTED PRIVATE KEY-----\n";

/* SEC1, EC PARAMETERS before it */
__attribute__((unused)) static const char ec384_pem[] =
	"-----BEGIN EC PARAMETERS-----\n"
	"BgUrgQQAIg==\n"
	"-----END EC PARAMETERS-----\n"
	"-----BEGIN EC PRIVATE KEY-----\n"
	"MIGkAgEBBDBhs7c8B4V4NxaO6Vo9ljJ0ufYgPzBnwmv2LKXeRchaHJIZeb7YCwry\n"
	"M+mIj5NfnzGgBwYFK4EEACKhZANiAARUN1dR2j/YEcCWaU2dxCQzMyPVybIJ6nVw\n"
	"HhRh5bhhP6DNjnGwSbNJLzgqXfueSZHr499/5W5FFuGmL3jyaQQw9VKtuS7k4MZ+\n"
	"Z7ZeFcCmehdB8q5wlhFKRyuN8hwjVrw=\n"
	"-----END EC PRIVATE KEY-----\n";

/* PKCS#8 */
__attribute__((unused)) static const char ed25519_pem[] =
	"-----BEGIN PRIVATE KEY-----\n"
	"MC4CAQAwBQYDK2VwBCIEIB2GoVw6O9q09r2JnrhkUURaWLerMQd2JNHvRJ5XqZIO\n"
	"-----END PRIVATE KEY-----\n";

/* a curve we do not know */
__attribute__((unused)) static const char secp224r1_pem[] =
	"-----BEGIN PRIVATE KEY-----\n"
	"MHgCAQAwEAYHKoZIzj0CAQYFK4EEACEEYTBfAgEBBBwxqY7GDeLR0DeY0UqwpASy\n"
	"Xw4qT21rdhuZORo3oTwDOgAETbfli2gXmloEKHird6wgK41AzXnyp2i2QfR2mWAI\n"
	"88NZ2h+YMH7n5pLA+EmQSMSWUhd+7st9FDs=\n"
	"-----END PRIVATE KEY-----\n";

/* P-256 by explicit parameters */
__attribute__((unused)) static const char explicit_pem[] =
	"-----BEGIN EC PRIVATE KEY-----\n"
	"MIIBaAIBAQQguxdXEQeCdwy37l3+FMu3T4o2Ag6W4xUiEp2s6x897myggfowgfcC\n"
	"AQEwLAYHKoZIzj0BAQIhAP////8AAAABAAAAAAAAAAAAAAAA////////////////\n"
	"MFsEIP////8AAAABAAAAAAAAAAAAAAAA///////////////8BCBaxjXYqjqT57Pr\n"
	"vVV2mIa8ZR0GsMxTsPY7zjw+J9JgSwMVAMSdNgiG5wSTamZ44ROdJreBn36QBEEE\n"
	"axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpZP40Li/hp/m47n60p8D54W\n"
	"K84zV2sxXs7LtkBoN79R9QIhAP////8AAAAA//////////+85vqtpxeehPO5ysL8\n"
	"YyVRAgEBoUQDQgAEWFVXgY1nCp9LW9GsgjCzPE1XgUVRvC7QDqX37F1lxdg1Lj5S\n"
	"QFfzO9j5r+qwJLUqP/zOYsC4wbzFZ1p4tPnPqw==\n"
	"-----END EC PRIVATE KEY-----\n";

/* PKCS#8 */
__attribute__((unused)) static const char rsa3072_pem[] =
	"-----BEGIN PRIVATE KEY-----\n"
	"MIIG/AIBADANBgkqhkiG9w0BAQEFAASCBuYwggbiAgEAAoIBgQChcH7Y+Xd1bU1c\n"
	"zQvm2xUDuF4sJE6pOg0V/4zMKG/X/giDUiSKbwQVsnUzgaXy3JYgxb5g3Xj6/FT1\n"
	"DCrWWBl8gPxYRGdWAW5cfeC0aGLR7LphqMSzjbSloVHyko9Pv1K5J7Qk6c4eeoyM\n"
	"rDYuediS+3E3+yRM+vmTXYhOh9pOYU+bzjnp6Z9lkgS0ScdzSBosyoOj477BwpDE\n"
	"S70CMO0UylqkglxqT0png1oXFEPw/joy5/0wu0oVFtUY89bl+NknkNMyDm+ud0r6\n"
	"DJ0uocTcSOnWke0cJZiS906V6g6RfCPm6JVNYTAO1yQLNIckAJ53pSgmgA0RjhJP\n"
	"FmFlx6zhjlJ/lQGar0dSzzPXB6TgkpF36rPSDPgm5hLoA6Ym1oaqVjHMZeMJm42p\n"
	"V+Ff76EWFh0RHy3pJOXaerG8vURADmyejd3v6/7X4671DBDWWc3fpXFbkaKc/I56\n"
	"D9KsmIM5po5/jUCiauvl/NG/AIGquSgaejEeTfXItVYiAeveQ2MCAwEAAQKCAYAD\n"
	"RDFs1m9SUunTzNpGy3v7XUmafwmQZvpIzajdoJvStPMbJRhULLbacYfpiOAAr/Hh\n"
	"q96UOybtfRmC88ISICoz2LBCYO/uT40aFfnr7IjDUpTa0P1Z3K4hA8iSreB0bpyP\n"
	"3nvIm2puN3CMkBdwjUqSfr/lsBEl9ZYDI0tUu27xUwq3Tk7hqrZs6a1qsGt2q6jL\n"
	"6zUKpdsANJ2VOysR1keVuhpnZbPU+tG4knHKMcDGKX6n9QWsbL2s+49IN/bLJGPI\n"
	"LPRyLTTBBnuIjEYSBNWaPfrLk+6xJm31qEJ9R+SwWZVRARBuXy7s089v8kK5gjMT\n"
	"l3m01trNkaqfnYSvQ5PiWsdN4TAeMFl0AtafutM2SYu67DWcHfq+qEN1JNLWmiib\n"
	"tA76nHjyhLt4hGvsydnZho3Y9iMWJGk3LUy/So+bYgE/MXUSc+l0MMp9M1ho7Cac\n"
	"ifo6LmiQEPb594e2i+UC9tANEHIzgQTXFQqxpdbd8Ti3n+LIMo53Z88Msfv55IEC\n"
	"gcEAzh/v0nqQOmhA/oY0yJF6yQGDEkz52ne70Xzu/1ZDg9D4Eb1WfaAEO7Z2uj9k\n"
	"u1jNPgMAPO+AxCtWsB1wxupZGlgEEJIoIlEjq7kvnMyJUqqbTFBWWR/9BjE9QfXP\n"
	"z3BNBTtD4ZlmSa3y3RW2tOzaaFw0l1zKqYssfeYt+DNz6umd/52xIz/zg4Z72sBu\n"
	"r2JVaXkzjxuxIBs5/Zavs6iccKl6nCiCXvkkCT1akiyJI1NU++oL/f3sWK5PHU66\n"
	"WY/hAoHBAMiAmWfA3qLtVp9HWatkJrrv7+0O1z8lWK9JsYj9NfZy3JBdjOrbkDb9\n"
	"3/IHie87+c707ACfrQp+4fxjEOdnuVd+k88Pl5A3mJQcEmeDhF1+i+VXE6jiY6Tz\n"
	"wCPgRzNMHwdwIYdI54PBM9kFdbp/wceEvntOipRCMq8cceRVg4E8oA4Bf9Vc6Cwo\n"
	"8RPDaC6Utn6NyGLtHKRbJNAqCwSYuQ6GV3vQ/+oDq0UGK1yauaIF8E0q5vG4KX5C\n"
	"yenbm1cLwwKBwBPEck5gHKbNSrZeDn/Rm9HdCEHgCfIOm396mLz5+92PU8r3umyv\n"
	"xNgpJne0Dqf82yoARaySV2n4sgaPvDoHTWY+XJ1uNtUbrO0SBGPoJZ8850nJRo6j\n"
	"h7NpU3OY7EX7ghdnWJoxCOM2AF19cJknQcbSWOTPLExYIXstcOklng9AOjvCVrOH\n"
	"tYW+hvAylirRpllIG061HCZ1Ffmg0tbK673OMwj4xY/wGqmcLaxpAvnVSwghqObB\n"
	"zEGw7btkynA+YQKBwBO28V6OTFXg2F+Y+Gwt0NEYvpKknu2KkonJyTcbDq9I4/8d\n"
	"87k0FZ4SoG5/50QqtYlv87Sr/qvFhhr28raOMF82BvqZIeIAVXRavkSHXgCDbOYE\n"
	"Bd7ZQ8r4XLAqYVXd6j8k+2b9+CWwXZS9QLIx1a/0kXY2ZtHlIG6vcVNuRRv0Bhja\n"
	"dONZ20pcTDgRQrEx1i/jaQyxG9vdSmVdfO/axHd1Jiz6g+9SpQiIbsMQQ6h2xQYR\n"
	"bdveq9XKY2gnO8L3WQKBwAngpIQ4C0Qw/zs7qrQZolWqz02vpLrAaL8euOL+Lb41\n"
	"UYFWPnuHIu/gWH7ondWF6+a/ld0AYfkDvYO14djFYDbc7CztOpvW/XAv2EX3sqt7\n"
	"wxydjXYSHJr66XbqPIpcYFViC4vTYru960vcm3yVizqHzzU7ZjKUtd7Ez8BzPHa1\n"
	"IjZMTBufTZb/qo3tknyfi9YiQ1yqQrhr+YcJF2W9m87b5sZnvjMBTpy7IWrfvvHE\n"
	"GFGHBzkk43bOjX7OuT0PRQ==\n"
	"-----END PRIVATE KEY-----\n";
