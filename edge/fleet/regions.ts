/**
 * Where things are that only say a name: regions of well-known clouds, countries and continents. Good enough to choose
 * between nodes that are hundreds of kilometres apart; who wants it exact says `NODE_COORDINATES`.
 *
 * `NODE_REGION` may be a cloud's region (`eu-central-1`, `europe-west3`, `germanywestcentral`, `fsn1`), an airport's code as
 * Cloudflare names its places (`FRA`), an ISO 3166 country (`DE`) or a continent as Cloudflare writes it (`EU`).
 */
import type { Coordinates } from '../../shared/protocol/control.ts';

/** One line a place: latitude, longitude, and what it is called. Names are compared without regard to case. */
const PLACES = `
50.1 8.7 fra eu-central-1 europe-west3 germanywestcentral eu-frankfurt-1 de-fra fra1 frankfurt
50.5 12.4 fsn1 falkenstein
49.5 11.1 nbg1 nuremberg
52.5 13.4 ber berlin europe-west10
48.1 11.6 muc munich
60.2 25.0 hel hel1 helsinki
60.6 27.2 europe-north1 finland
59.3 18.1 arn eu-north-1 swedencentral stockholm europe-north2
59.9 10.7 osl norwayeast oslo
55.7 12.6 cph copenhagen
52.2 21.0 waw europe-central2 polandcentral warsaw
50.1 14.4 prg prague
48.2 16.4 vie austriaeast vienna
47.4 8.5 zrh eu-central-2 europe-west6 switzerlandnorth zurich
46.2 6.1 gva switzerlandwest geneva
45.5 9.2 mxp eu-south-1 europe-west8 italynorth milan
45.1 7.7 europe-west12 turin
41.9 12.5 fco rome
40.4 -3.7 mad europe-southwest1 spaincentral madrid
41.6 -0.9 eu-south-2 zaragoza
38.7 -9.1 lis lisbon
48.9 2.4 cdg eu-west-3 europe-west9 francecentral par1 paris
50.7 3.2 rbx roubaix
48.6 7.8 sbg strasbourg
43.3 5.4 mrs marseille
52.4 4.9 ams westeurope ams3 nl-ams amsterdam
53.4 6.8 europe-west4 eemshaven
50.5 3.8 europe-west1 belgium
51.5 -0.1 lhr eu-west-2 europe-west2 uksouth lon1 london
53.3 -6.3 dub eu-west-1 northeurope dublin
44.4 26.1 otp bucharest
37.98 23.7 ath athens
41.0 29.0 ist istanbul
50.45 30.5 kbp kyiv
55.8 37.6 dme moscow
32.1 34.8 tlv il-central-1 me-west1 israelcentral telaviv
25.3 55.3 dxb me-central-1 uaenorth dubai
26.1 50.6 me-south-1 bahrain
25.3 51.5 doh me-central1 qatarcentral doha
26.4 50.1 me-central2 dammam
19.1 72.9 bom ap-south-1 asia-south1 centralindia mumbai
17.4 78.5 hyd ap-south-2 hyderabad
28.6 77.2 del asia-south2 delhi
13.0 77.6 blr blr1 bangalore
13.1 80.3 maa southindia chennai
1.35 103.8 sin ap-southeast-1 asia-southeast1 southeastasia sgp1 singapore
-6.2 106.8 cgk ap-southeast-3 asia-southeast2 jakarta
3.1 101.7 kul ap-southeast-5 malaysiawest kualalumpur
13.7 100.5 bkk ap-southeast-7 bangkok
14.6 121.0 mnl manila
22.3 114.2 hkg ap-east-1 asia-east2 eastasia hongkong
25.0 121.5 tpe asia-east1 ap-east-2 taipei
31.2 121.5 pvg chinaeast shanghai
39.9 116.4 pek cn-north-1 beijing
37.6 127.0 icn ap-northeast-2 asia-northeast3 koreacentral seoul
35.7 139.7 nrt ap-northeast-1 asia-northeast1 japaneast tokyo
34.7 135.5 kix ap-northeast-3 asia-northeast2 japanwest osaka
-33.9 151.2 syd ap-southeast-2 australia-southeast1 australiaeast syd1 sydney
-37.8 145.0 mel ap-southeast-4 australia-southeast2 australiasoutheast melbourne
-36.8 174.8 akl ap-southeast-6 newzealandnorth auckland
-26.2 28.0 jnb africa-south1 southafricanorth johannesburg
-33.9 18.4 cpt af-south-1 capetown
6.5 3.4 los lagos
-1.3 36.8 nbo nairobi
30.0 31.2 cai cairo
39.0 -77.5 iad us-east-1 us-east4 eastus eastus2 ash ashburn
40.7 -74.0 ewr nyc1 nyc3 newyork
40.0 -83.0 cmh us-east-2 us-east5 columbus
33.2 -80.0 us-east1 southcarolina
33.7 -84.4 atl atl1 atlanta
25.8 -80.2 mia miami
41.9 -87.6 ord northcentralus chicago
41.3 -95.9 us-central1 centralus iowa
32.8 -96.8 dfw us-south1 dallas
29.4 -98.5 southcentralus sanantonio
39.7 -105.0 den denver
33.4 -112.1 phx westus3 phoenix
40.8 -111.9 slc us-west3 saltlakecity
36.2 -115.1 las us-west4 lasvegas
34.1 -118.2 lax us-west2 losangeles
37.4 -121.9 sjc us-west-1 westus sfo2 sfo3 sanfrancisco
45.5 -122.7 pdx us-west-2 us-west1 hil hillsboro portland
47.6 -122.3 sea westus2 seattle
45.5 -73.6 yul ca-central-1 northamerica-northeast1 canadaeast montreal
43.7 -79.4 yyz northamerica-northeast2 canadacentral tor1 toronto
51.0 -114.1 yyc ca-west-1 calgary
19.4 -99.1 mex northamerica-south1 mexicocentral mx-central-1 mexico
4.7 -74.1 bog bogota
-12.0 -77.0 lim lima
-33.4 -70.7 scl southamerica-west1 chilecentral santiago
-34.6 -58.4 eze buenosaires
-23.5 -46.6 gru sa-east-1 southamerica-east1 brazilsouth saopaulo
`;

/** Countries by where most of their people are. */
const COUNTRIES = `
AD 42.5 1.5 AE 25.2 55.3 AF 34.5 69.2 AG 17.1 -61.8 AL 41.3 19.8 AM 40.2 44.5 AO -8.8 13.2 AR -34.6 -58.4 AT 48.2 16.4
AU -33.9 151.2 AZ 40.4 49.9 BA 43.9 18.4 BB 13.1 -59.6 BD 23.8 90.4 BE 50.8 4.4 BF 12.4 -1.5 BG 42.7 23.3 BH 26.2 50.6
BI -3.4 29.4 BJ 6.4 2.4 BN 4.9 114.9 BO -16.5 -68.1 BR -23.5 -46.6 BS 25.1 -77.3 BT 27.5 89.6 BW -24.7 25.9 BY 53.9 27.6
BZ 17.5 -88.2 CA 43.7 -79.4 CD -4.3 15.3 CF 4.4 18.6 CG -4.3 15.3 CH 47.4 8.5 CI 5.3 -4.0 CL -33.4 -70.7 CM 3.9 11.5
CN 31.2 121.5 CO 4.7 -74.1 CR 9.9 -84.1 CU 23.1 -82.4 CV 14.9 -23.5 CY 35.2 33.4 CZ 50.1 14.4 DE 50.5 9.5 DJ 11.6 43.1
DK 55.7 12.6 DM 15.3 -61.4 DO 18.5 -69.9 DZ 36.8 3.1 EC -2.2 -79.9 EE 59.4 24.8 EG 30.0 31.2 ER 15.3 38.9 ES 40.4 -3.7
ET 9.0 38.7 FI 60.2 24.9 FJ -18.1 178.4 FR 48.0 2.6 GA 0.4 9.5 GB 52.0 -1.0 GD 12.1 -61.7 GE 41.7 44.8 GH 5.6 -0.2
GM 13.5 -16.6 GN 9.6 -13.6 GQ 3.8 8.8 GR 38.0 23.7 GT 14.6 -90.5 GW 11.9 -15.6 GY 6.8 -58.2 HK 22.3 114.2 HN 14.1 -87.2
HR 45.8 16.0 HT 18.5 -72.3 HU 47.5 19.1 ID -6.2 106.8 IE 53.3 -6.3 IL 32.1 34.8 IN 21.0 78.0 IQ 33.3 44.4 IR 35.7 51.4
IS 64.1 -21.9 IT 43.5 11.5 JM 18.0 -76.8 JO 31.9 35.9 JP 35.7 139.7 KE -1.3 36.8 KG 42.9 74.6 KH 11.6 104.9 KR 37.6 127.0
KW 29.4 48.0 KZ 43.2 76.9 LA 18.0 102.6 LB 33.9 35.5 LI 47.1 9.5 LK 6.9 79.9 LR 6.3 -10.8 LS -29.3 27.5 LT 54.7 25.3
LU 49.6 6.1 LV 56.9 24.1 LY 32.9 13.2 MA 33.6 -7.6 MC 43.7 7.4 MD 47.0 28.9 ME 42.4 19.3 MG -18.9 47.5 MK 42.0 21.4
ML 12.6 -8.0 MM 16.9 96.2 MN 47.9 106.9 MO 22.2 113.5 MR 18.1 -16.0 MT 35.9 14.5 MU -20.2 57.5 MV 4.2 73.5 MW -15.8 35.0
MX 19.4 -99.1 MY 3.1 101.7 MZ -25.9 32.6 NA -22.6 17.1 NE 13.5 2.1 NG 6.5 3.4 NI 12.1 -86.3 NL 52.2 4.9 NO 59.9 10.7
NP 27.7 85.3 NZ -36.8 174.8 OM 23.6 58.4 PA 9.0 -79.5 PE -12.0 -77.0 PG -9.4 147.2 PH 14.6 121.0 PK 31.5 74.3 PL 52.2 21.0
PR 18.4 -66.1 PS 31.9 35.2 PT 39.5 -8.9 PY -25.3 -57.6 QA 25.3 51.5 RO 44.4 26.1 RS 44.8 20.5 RU 55.8 37.6 RW -1.9 30.1
SA 24.7 46.7 SC -4.6 55.5 SD 15.5 32.5 SE 59.3 18.1 SG 1.35 103.8 SI 46.1 14.5 SK 48.2 17.1 SL 8.5 -13.2 SN 14.7 -17.4
SO 2.0 45.3 SR 5.9 -55.2 SS 4.9 31.6 SV 13.7 -89.2 SY 33.5 36.3 SZ -26.3 31.1 TD 12.1 15.0 TG 6.1 1.2 TH 13.7 100.5
TJ 38.6 68.8 TM 37.9 58.4 TN 36.8 10.2 TR 40.5 30.5 TT 10.7 -61.5 TW 25.0 121.5 TZ -6.8 39.3 UA 50.0 31.0 UG 0.3 32.6
US 39.0 -94.0 UY -34.9 -56.2 UZ 41.3 69.3 VE 10.5 -66.9 VN 10.8 106.7 XK 42.7 21.2 YE 15.4 44.2 ZA -26.2 28.0 ZM -15.4 28.3
ZW -17.8 31.0
`;

/** Two-letter continents as Cloudflare writes them. `NA`, `SA` and `AF` are countries too: what is asked for decides. */
const CONTINENTS: Readonly<Record<string, Coordinates>> = {
  AF: { latitude: 2, longitude: 20 },
  AN: { latitude: -75, longitude: 0 },
  AS: { latitude: 28, longitude: 95 },
  EU: { latitude: 50, longitude: 12 },
  NA: { latitude: 40, longitude: -95 },
  OC: { latitude: -32, longitude: 147 },
  SA: { latitude: -18, longitude: -55 },
};

const byPlace = new Map<string, Coordinates>();
for (const line of PLACES.trim().split('\n')) {
  const [latitude, longitude, ...names] = line.split(' ');
  for (const name of names) byPlace.set(name, { latitude: Number(latitude), longitude: Number(longitude) });
}

const byCountry = new Map<string, Coordinates>();
for (const [, code, latitude, longitude] of COUNTRIES.matchAll(/([A-Z]{2}) (-?[\d.]+) (-?[\d.]+)/g)) {
  if (code !== undefined) byCountry.set(code, { latitude: Number(latitude), longitude: Number(longitude) });
}

/** By ISO 3166 code in any case. */
export function coordinatesOfCountry(code: string): Coordinates | null {
  return byCountry.get(code.toUpperCase()) ?? null;
}

/** `EU`, `AS`, … in any case. */
export function coordinatesOfContinent(code: string): Coordinates | null {
  return CONTINENTS[code.toUpperCase()] ?? null;
}

/** Of a node's region; null when the name says nothing to us. A zone's letter (`eu-west-1a`, `europe-west3-b`) is overlooked. */
export function coordinatesOfRegion(region: string): Coordinates | null {
  const name = region.trim().toLowerCase();
  const withoutZone = name.replace(/(?<=\d)-?[a-f]$/, '');
  const place = byPlace.get(name) ?? byPlace.get(withoutZone) ?? byPlace.get(name.replaceAll(/[\s_-]/g, ''));
  // As a region `EU` or `NA` means the continent rather than a country.
  return place ?? coordinatesOfContinent(name) ?? coordinatesOfCountry(name);
}
