//! Texts of many kinds, for tests.

pub const ENGLISH: &str = "\
    The old lighthouse keeper had a rule about storms: never count the waves. He would sit in the narrow kitchen \
    below the lamp room, a kettle on the stove, and listen to the sea work at the rocks as if it had all the \
    time in the world. Visitors asked whether he was lonely. \"Not since the radio came,\" he answered, and then \
    admitted that he rarely switched it on. In the spring of 1978 a freighter ran aground three miles to the \
    north, and it was his telephone call that brought the lifeboat in time. He was given a medal for it, which \
    he kept in the drawer with the spare fuses. What he wanted, he told the newspaper, was a better road, \
    because the doctor's car could not manage the last mile after heavy rain.\n";

pub const GERMAN: &str = "\
    Die Verwaltung der kleinen Gemeinde hatte jahrelang versucht, das Schwimmbad am Waldrand zu erhalten. Im \
    vergangenen Herbst wurde schließlich beschlossen, die Sanierungskosten nicht länger aus dem laufenden \
    Haushalt zu bestreiten. Stattdessen gründeten einige Einwohner einen Förderverein, der inzwischen über \
    vierhundert Mitglieder zählt. Überraschend war vor allem, wie schnell die ersten Spenden eingingen: Schon \
    nach sechs Wochen lagen mehr als 80.000 Euro auf dem Konto. Die Bürgermeisterin sprach von einem \
    außergewöhnlichen Zusammenhalt, warnte aber davor, die künftigen Unterhaltskosten zu unterschätzen. Ob das \
    Becken rechtzeitig zu den Sommerferien geöffnet werden kann, hängt nun von der Genehmigungsbehörde ab.\n";

pub const FRENCH: &str = "\
    Depuis que l'usine a fermé, la vallée s'est peu à peu vidée de ses habitants les plus jeunes. Pourtant, l'an \
    dernier, trois familles venues de la ville ont repris l'ancienne ferme communale. Elles y élèvent des \
    chèvres, fabriquent du fromage et accueillent, l'été, des randonneurs qui dorment dans la grange aménagée. « \
    Nous n'avions aucune expérience », reconnaît Élodie, qui travaillait auparavant dans l'informatique. Les \
    voisins, d'abord méfiants, ont fini par prêter un tracteur, puis des conseils, et enfin leur amitié.\n";

pub const RUSSIAN: &str = "\
    Утром в посёлке отключили воду, и жители собрались у колонки возле школы. Кто-то принёс вёдра, кто-то — \
    пластиковые бутылки, а дети, которым не нужно было идти на уроки, устроили соревнование, кто быстрее донесёт \
    полную канистру до дома. К обеду приехала аварийная бригада. Мастер объяснил, что трубе почти пятьдесят лет \
    и что менять её надо было ещё в прошлом десятилетии. К вечеру воду снова дали, но ещё несколько дней она \
    была ржавого цвета.\n";

pub const CHINESE: &str = "\
    去年夏天,我们一家人坐火车去了西北。车厢里很安静,窗外的景色从稻田慢慢变成了黄土,又从黄土变成了\
    戈壁。父亲年轻的时候在那里修过铁路,他指着远处的山说,当年他们住在帐篷里,晚上冷得睡不着,就围着\
    火堆唱歌。到站的时候已经是傍晚,广场上卖西瓜的老人还没有收摊。我们买了一个最大的,回到旅馆切开,\
    甜得让人说不出话来。第二天早上,父亲带我们去看那座他参与修建的桥。桥还在,只是旁边又多了一座新的\
    高速铁路桥。他站了很久,最后只说了一句:“时间过得真快。”\n";

pub const JAPANESE: &str = "\
    駅前の小さな書店が、今月いっぱいで店を閉めることになった。店主の佐藤さんは七十五歳で、父親から店\
    を継いで四十年になるという。棚には新刊よりも、長年読み継がれてきた文庫本や地元の作家の作品が多く\
    並んでいる。最近はインターネットで本を買う人が増え、売り上げは十年前の半分以下に落ち込んだ。それ\
    でも、学校帰りの子どもたちが立ち読みをしていく夕方の時間が一番好きだったと、佐藤さんは笑う。閉店\
    の知らせを聞いて、遠くの町から訪ねてくる昔の客も少なくない。最後の日には、感謝を込めて店先でコー\
    ヒーを振る舞うつもりだそうだ。\n";

pub const KOREAN: &str = "\
    동네 도서관이 삼 년 만에 다시 문을 열었다. 오래된 건물의 벽을 허물고 햇빛이 잘 \
    드는 넓은 열람실을 만들었으며, 이 층에는 아이들이 마음껏 떠들 수 있는 방도 생겼다. \
    개관 첫날에는 비가 내렸지만 사람들은 우산을 들고 길게 줄을 섰다. 관장은 책을 빌리는 \
    사람보다 쉬러 오는 사람이 더 많아도 괜찮다고 말했다. 저녁이 되자 창가 자리는 모두 \
    학생들로 가득 찼다.\n";

pub const PYTHON: &str = r#"class RetryQueue:
    """Keeps failed jobs until their next attempt is due."""

    def __init__(self, max_attempts=5, base_delay=0.25):
        self.max_attempts = max_attempts
        self.base_delay = base_delay
        self._heap = []

    def push(self, job, attempt, now=None):
        if attempt >= self.max_attempts:
            raise GaveUp(f"{job.name} failed {attempt} times")
        due = (now or time.monotonic()) + self.base_delay * 2 ** attempt
        heapq.heappush(self._heap, (due, next(self._counter), job))

    def pop_due(self, now):
        while self._heap and self._heap[0][0] <= now:
            due, _, job = heapq.heappop(self._heap)
            yield job, now - due


if __name__ == "__main__":
    queue = RetryQueue(max_attempts=3)
    for line in sys.stdin.readlines()[1:]:
        queue.push(Job.parse(line.strip().split("\t")), attempt=0)
"#;

pub const RUST: &str = r"impl<K: Hash + Eq, V> Cache<K, V> {
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        if self.entries.len() >= self.capacity {
            self.evict_oldest();
        }
        let entry = Entry { value, used_at: self.clock.tick() };
        self.entries.insert(key, entry).map(|old| old.value)
    }

    fn evict_oldest(&mut self) {
        let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.used_at);
        if let Some((key, _)) = oldest.map(|(k, v)| (k.clone(), v)) {
            self.entries.remove(&key);
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum Event<'a> {
    Opened { path: &'a str, bytes: u64 },
    Closed(Result<(), io::Error>),
}
";

pub const MIXED: &str = r"# Release notes 2.4.1

- Fixed #1832: `GET /v1/orders?limit=50&cursor=eyJpZCI6NDJ9` returned 500 on empty pages.
- 新增:支持按地区筛选订单,例如 `region=华东`。
- Für Großkunden gilt ab 01.07.2025 der neue Rabatt von 12,5 %.

| Region | Q1 | Q2 | Δ |
|---|---:|---:|---:|
| EMEA | 1,204,332 | 1,310,006 | +8.8 % |
| APAC | 998,120 | 1,002,477 | +0.4 % |

```sql
SELECT region, SUM(total_cents) / 100.0 AS total
FROM orders WHERE created_at >= '2025-01-01' GROUP BY region;
```
お問い合わせは support@example.com まで。Thanks! 🎉
";
