import type { PrivateJwk } from '@keywright/kms';

// Made for these tests and printed here for everyone to read: never to be used elsewhere.
export const IMPORTED: Readonly<Record<string, PrivateJwk>> = {
  ES256: {
    kty: 'EC',
    x: 'wVKcDuKYBwaDuJoC1xLi0oAHFVFbtx-GAeovdZGa-hI',
    y: 'tQqD7fOrJ8YJfnwHMK_kwMFtnU2X9F_q-6lrRDWmbUs',
    crv: 'P-256',
    d: 'ks1bbs74vsuwa09-vGReC9RnxggTvM0XbyXUhHeITxo',
  },
  ES384: {
    kty: 'EC',
    x: '6oyKVzXZdNserpp5kCGatmLvzt7VlrS3bHAll2dikZz_9TBTZopKfv2Xy97V0wLu',
    y: 'AOm-BK53PpIw3lptubWSASreUeA3MutMd3t6OOU50pJ1lts0uIWoIBGkdItlZG1V',
    crv: 'P-384',
    d: 'FUxUEcX1wFMhMUgAfDV2f2jdoYTVQMZoBqTFs_TpyxC0eT5YkR0j4PK5DvxcoAhl',
  },
  ES512: {
    kty: 'EC',
    x: 'ALTAmMgYXr_dhHYp_nQi4Zf4FTxU2ITcks-TS4ZLF_Ycnn_zRREkb8F3-RdkJp6knnvx9v1iL62cVRIqrlJo5z0a',
    y: 'ASmZxyqv6OJJtmz1sWBCAFXHaZ6BHq0MunTA7n6CJJSIK1MeyBX2SqTG-k30j0wPxwkRrBEV0Ypory_RnU8hivSw',
    crv: 'P-521',
    d: 'AA5Jei21CJ9VzxxjCf_nf2_3EKYw6Ts-ZN2rAUIWrQ6Akq_b8iDVeKlgU5-RDfG583jNW3PvdqsB8iN-3ollwDWA',
  },
  EdDSA: {
    crv: 'Ed25519',
    d: 'f8iqWzGRBZhFW4rZCV5BhTmbrYvRKgmN6OjWDEhHZyw',
    x: 'du2gEC3gSeTR4J8oBkHYQMQZ-X0h1rIsrptCFTZPUy0',
    kty: 'OKP',
  },
};

export const RSA_2048: PrivateJwk = {
  kty: 'RSA',
  n: '6U-f6AnjAf7ichyayFzstK_Z69Y1EoY6suKAXk1XQ3ATcQ6oNB1nZMxZagMZayOl2m_fW0_NCOtmeSmgbCXQdcFJwCqn2M1iOYViPgJ3UEs4iIebWJXh2ODUgVoh0airFY4Ej11SOBAdv6saBVSX2MabmyTvkMehIRWcc-tnruUd3lr_XivpAf2-rZw2TildY-YJy1vigOQa91R8aBhtqToLhlAssVgYWqBN3Q6L4beT9P0lLYxWStlJSr5W3yu85OscqBO3xDlf_0ht1uCkuE9iBdzU-JzTjxvi_M95tWTZh_zv3sP7QLSjwCa1lI2nmCsKWnZamBZqetH6DDlKLQ',
  e: 'AQAB',
  d: 'DnB3HQ0_l2gG67kJe00E-UnI2ueu8S6Ng3SxLSTsOag-C8k0b8VCGOLsxbrbX94c7Z_u2t_deKfY97azzv2oISGNRu9c4_YSFi1DH0NXzwhYv1plKt5b0-hWPostfKRLslHPxm-oHwAgVzRnr9zEaQ4ho0Bt8y_nsPx9ak8vY4t8Q3RQIe3Q20mtoHpm1n6BCT_rpxMFfybQfOqetS1I2KBQjbsqjXoLqytxZFYhikkm0mza4UXHrGN3rCmKvGECzqkWRo1ZSDzKIPMFZvWJrlhrT1SjD8eU9-C-FoJMfBOX1JfStELYlHNm0mUEiM8eK7cjDenoBIMFZzoHteZmoQ',
  p: '-ik9iYNExsdVMVzaE0G8D7l9g14WoaDnHmQEI2tHhl9uWUjwylVkWJq-KZpRNsMh1KFuIX0V6m8MkK6jlEXMznT1YdEuVeDLrfM-vth9aECQvtisnDmD1jFiPC8iw5ionRtF4v_kehRRyAfGtR1rgonVtjjxt3msDQT3_zcw5Hc',
  q: '7sGztBKTI6yc4YC5mKQS80xuRl0ySE_PkMonuXEz_qWertQctyWiYgIV3JMNwCN24G0T-zlB2UqvrwoaUyP9h_UED7DMJXLzWlTtgvCRpkIW5VaYl2UNlOEm2FV6B4I4tRdnUMdLwlqWqNx82bkMf0KC2Z5tinofAm5QM2OK43s',
  dp: 'mYrwg1O3xg4Y4yhrjYA-TqR6PkRkvaXF1ahrxdWV3Ar87v5PFNFeuueXqm9WQ7d3L0w6DYH6Dp9EZhVav6or79hnuDctKnbEbSssqvSz3GYssYbKQ0Ul_zTmZ6xCuS0c6PkRZyfK84c_PvhO5WF-WGwDaUoASq36hS80jEgy0Tc',
  dq: 'cxPh7dVWHkfAheBplGzgxWv9auTYq4nsXblSVEt_6CkjxthtzsjQ77RZnSsz4Xw2fA2XJ-t9FaKt8wxHi_M47CLohjeM7i_to4hzwjz5tsz8BCYs_iuy1COBeZwZaS0W8BILth-ZIGBRZaqAcuCCaYRBVWrLGYerEpzhAyPjeak',
  qi: '1bMoIVPqSis8V8LsKStNASMrTPlLrDbgwurnt2H_2IWzzW4YQfvcwq4XNbfec2rlWhxMbKVBNueGEplyaw0jyvWtY3UOfNmVaJirUVXKx1Du1m9RgeX5TqWMqdHGgEMEo9GoW4SjDTdn3ZWaHyMeZE9scsjGi9K5N0cr4Vjyon0',
};
